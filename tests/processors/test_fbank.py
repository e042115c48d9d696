import json

import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import InputError
from kinema.processors.fbank import kaldi_fbank, num_fbank_frames
from kinema.processors.resample import resample


def test_filter_banks_equal_torchaudios(golden_dir):
    folder = golden_dir / "video_llava"
    stored = load_file(folder / "preprocess_audio.safetensors")
    details = json.loads((folder / "preprocess_audio.json").read_text())
    assert details["cases"]
    for name, case in details["cases"].items():
        waveform = stored[f"{name}.waveform_int16"] / 32768
        waveform = resample(waveform, case["sample_rate"], details["config"]["audio_sample_rate"])
        bank = kaldi_fbank((waveform - waveform.mean())[0], details["config"]["num_mel_bins"])
        torch.testing.assert_close(bank, stored[f"{name}.fbank"], atol=5e-4, rtol=0)
        assert len(bank) == num_fbank_frames(case["samples_at_16k"]) == case["fbank_frames"]


@pytest.mark.parametrize(("num_samples", "num_frames"), [(399, 0), (400, 1), (559, 1), (560, 2)])
def test_a_frame_that_reaches_over_the_end_is_left_out(num_samples, num_frames):
    assert num_fbank_frames(num_samples) == num_frames


def test_silence_has_the_floor_of_all_energies():
    assert kaldi_fbank(torch.zeros(400), 4).tolist() == [[pytest.approx(-15.942385)] * 4]


def test_sound_below_one_frame_is_refused():
    with pytest.raises(InputError, match="at least 400 samples"):
        kaldi_fbank(torch.zeros(399), 4)
