import torch

from kinema.processors.aligned import AlignedInputs
from kinema.processors.text_inputs import TextInputs


def test_everything_of_a_batch_moves_to_a_device():
    ids = torch.ones(2, 3, dtype=torch.int64)
    text = TextInputs(input_ids=ids, attention_mask=ids > 0)
    inputs = AlignedInputs(
        pixel_values=torch.zeros(2, 1, 3, 4, 4),
        audio_features=torch.zeros(2, 5, 6),
        captions={"video": text, "audio": text},
        ids=torch.arange(2),
    ).to("meta")
    tensors = [inputs.pixel_values, inputs.audio_features, inputs.ids, inputs.input_ids]
    tensors += [caption.attention_mask for caption in inputs.captions.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
