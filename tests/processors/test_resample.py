import json

import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import InputError
from kinema.processors.resample import resample


def test_sound_is_resampled_as_torchaudio_does_it(golden_dir):
    folder = golden_dir / "video_llava"
    stored = load_file(folder / "preprocess_audio.safetensors")
    details = json.loads((folder / "preprocess_audio.json").read_text())
    names = [key.removesuffix(".waveform_16k") for key in stored if key.endswith(".waveform_16k")]
    assert names
    for name in names:
        waveform = stored[f"{name}.waveform_int16"] / 32768
        rate = details["cases"][name]["sample_rate"]
        resampled = resample(waveform, rate, details["config"]["audio_sample_rate"])
        # The original computes its filters in single precision, which is off by up to 7e-6.
        torch.testing.assert_close(resampled, stored[f"{name}.waveform_16k"], atol=2e-5, rtol=0)


def test_a_tone_keeps_its_pitch_and_every_channel_its_own():
    seconds = torch.arange(8000) / 8000
    tones = torch.stack([torch.sin(2 * torch.pi * hertz * seconds) for hertz in (100, 400)])
    doubled = resample(tones, 8000, 16000)
    expected = torch.stack(
        [torch.sin(2 * torch.pi * hertz * torch.arange(16000) / 16000) for hertz in (100, 400)]
    )
    torch.testing.assert_close(doubled[:, 100:-100], expected[:, 100:-100], atol=2e-3, rtol=0)


def test_three_samples_at_half_the_rate_are_two():
    assert resample(torch.zeros(1, 3), 16000, 8000).shape == (1, 2)


def test_an_equal_rate_changes_nothing():
    waveform = torch.zeros(1, 3)
    assert resample(waveform, 16000, 16000) is waveform


@pytest.mark.parametrize(("rate", "said"), [(0, "at least 1"), (44101, "too little in common")])
def test_rates_that_cannot_be_converted_are_refused(rate, said):
    with pytest.raises(InputError, match=said):
        resample(torch.zeros(1, 3), rate, 16000)
