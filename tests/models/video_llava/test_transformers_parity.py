"""transformers' port: equal to ours where it is built the same, and how far it is from the original."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from golden_video_llava import official_pixels
from safetensors.torch import load_file

from kinema.errors import ModelWarning
from kinema.models.video_llava.checkpoint import convert, load, load_weights, save
from kinema.models.video_llava.keys import Layout, model_keymap
from kinema.processors.collate import Sample, pad_samples
from kinema.processors.tower_inputs import TowerInputs, TowerItem
from kinema.training.adapters import Adapter, add_adapter, merge_adapter, save_adapter

pytestmark = pytest.mark.filterwarnings("ignore::kinema.errors.ModelWarning")

ACTIVATIONS = ("quick_gelu", "gelu")


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)


@pytest.fixture(scope="module")
def port(golden):
    return load_file(golden / "video_llava_hf.cases.safetensors")


@pytest.fixture(scope="module")
def config(golden):
    return json.loads((golden / "video_llava_hf.config.json").read_text())


@pytest.fixture(scope="module", params=ACTIVATIONS)
def model(request, transformers_folder, config, tmp_path_factory):
    """The port as configured, and as it would be with the original's activation."""
    folder = tmp_path_factory.mktemp("port") / request.param
    shutil.copytree(transformers_folder, folder)
    if request.param != "quick_gelu":
        config = {**config, "vision_config": {**config["vision_config"], "hidden_act": request.param}}
        (folder / "config.json").write_text(json.dumps(config))
    return request.param, load_weights(folder)


def item(pixels, config, *, class_token=True) -> TowerItem:
    """The official pixels of an image or video; the port reads the class token of videos."""
    side = config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]
    is_video = pixels.ndim == 4
    return TowerItem(
        modality="video" if is_video else "image",
        pixel_values=official_pixels(pixels),
        grid=(side, side),
        has_class_token=is_video and class_token,
    )


def sample(port, tensors, name, config) -> Sample:
    """The port's ids, with the pixels they stand for."""
    ids = port[f"{name}.input_ids"][0]
    keys = sorted(key for key in tensors if key.startswith(f"pixels.{name}."))
    visual = TowerInputs(items=tuple(item(tensors[key], config) for key in keys))
    placeholders = torch.tensor([config["image_token_index"], config["video_token_index"]])
    return Sample(input_ids=ids, visual_mask=torch.isin(ids, placeholders), visual=visual)


@torch.inference_mode()
def test_features_equal_the_port(model, port, tensors, config):
    activation, ours = model
    for name in ("image", "video"):
        features = ours.encode_visual(TowerInputs(items=(item(tensors[f"pixels.{name}.0"], config),)))
        close(features, port[f"{activation}.{name}.projected_features"].flatten(0, 1))


@torch.inference_mode()
def test_logits_equal_the_port(model, port, tensors, config):
    activation, ours = model
    for key, expected in port.items():
        case, _, kind = key.removeprefix(f"{activation}.").partition(".")
        if not key.startswith(activation) or not kind.startswith("logits_last") or case == "batch":
            continue
        logits = ours(pad_samples([sample(port, tensors, case, config)], 0))
        is_last = kind == "logits_last"
        close(logits[:, -1] if is_last else logits[:, -expected.shape[1] :], expected)


@torch.inference_mode()
def test_a_batch_padded_on_the_left_equals_the_port(model, port, tensors, config):
    activation, ours = model
    samples = [sample(port, tensors, name, config) for name in ("image", "video")]
    batch = pad_samples(samples, config["pad_token_id"], side="left")
    assert torch.equal(batch.input_ids, port["batch.input_ids"])
    assert torch.equal(batch.attention_mask.long(), port["batch.attention_mask"])
    close(ours(batch)[:, -1], port[f"{activation}.batch.logits_last"])


@torch.inference_mode()
def test_the_port_is_not_video_llava(model, loaded, tensors, config):
    """So that nobody repairs ours to equal it: attention over time is most of a video's features."""
    activation, ours = model

    def distance(name):
        inputs = TowerInputs(items=(item(tensors[f"pixels.{name}.0"], config),))
        return float((ours.encode_visual(inputs) - loaded.model.encode_visual(inputs)).abs().max())

    assert distance("video") > 1
    assert distance("image") < (0.05 if activation == "quick_gelu" else 1e-4)
    if activation == "quick_gelu":
        assert distance("image") > 0.01


@torch.inference_mode()
def test_without_attention_over_time_the_original_equals_the_port(official_folder, tensors, config, port):
    model = load_weights(official_folder)
    image_tower, video_tower = model.vision_encoder["image"], model.vision_encoder["video"]
    image_tower.class_embedding.copy_(video_tower.class_embedding)  # all else they have in common is equal
    frames = replace(item(tensors["pixels.video.0"], config), modality="image")
    features = model.encode_visual(TowerInputs(items=(frames,)))
    close(features, port["gelu.video.projected_features"].flatten(0, 1))


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers")


@torch.inference_mode()
def their_logits(model, port, tensors):
    return model(
        input_ids=port["video_and_image.input_ids"],
        pixel_values=tensors["pixels.video_and_image.1"].float()[None],
        pixel_values_videos=official_pixels(tensors["pixels.video_and_image.0"])[None],
    ).logits


@torch.inference_mode()
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_transformers_saves_gives_its_logits(transformers, activation, port, tensors, config, tmp_path):
    vision = {**config["vision_config"], "hidden_act": activation}
    settings = transformers.VideoLlavaConfig(**{**config, "vision_config": vision})
    torch.manual_seed(0)
    model = transformers.VideoLlavaForConditionalGeneration(settings).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(tmp_path)
    inputs = pad_samples([sample(port, tensors, "video_and_image", config)], 0)
    close(load_weights(tmp_path)(inputs), their_logits(model, port, tensors))


@torch.inference_mode()
def test_what_ours_saves_loads_there_and_gives_its_logits(
    transformers, official_folder, port, tensors, config, tmp_path
):
    with pytest.warns(ModelWarning, match="no attention over time"):
        convert(official_folder, tmp_path / "port", layout=Layout.TRANSFORMERS)
    model, report = transformers.VideoLlavaForConditionalGeneration.from_pretrained(
        tmp_path / "port", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    inputs = pad_samples([sample(port, tensors, "video_and_image", config)], 0)
    ours = load_weights(tmp_path / "port")(inputs)
    close(ours, their_logits(model.eval(), port, tensors))


def with_updates(model):
    """The model with updates of the language model that show."""
    names = add_adapter(model, Adapter(parts=("language_model",), rank=4, alpha=8))
    assert all(name.startswith("language_model.layers.") for name in names)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.data.normal_(std=0.1, generator=generator)
    return model.eval()


@pytest.fixture
def adapted(official_folder, tmp_path):
    """A folder in the port's layout, and its model with updates."""
    convert(official_folder, tmp_path / "port", layout=Layout.TRANSFORMERS)
    return tmp_path / "port", with_updates(load_weights(tmp_path / "port"))


@torch.inference_mode()
def test_updates_saved_alone_are_read_by_peft_beside_the_port(
    transformers, adapted, port, tensors, config, tmp_path
):
    peft = pytest.importorskip("peft")
    folder, ours = adapted
    theirs = transformers.VideoLlavaForConditionalGeneration.from_pretrained(folder).eval()
    plain = their_logits(theirs, port, tensors)
    keymap = model_keymap(ours.config, Layout.TRANSFORMERS, theirs.state_dict())
    save_adapter(ours, keymap, tmp_path / "adapter")
    tuned = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    expected = ours(pad_samples([sample(port, tensors, "video_and_image", config)], 0))
    assert (expected - plain).abs().max() > 0.1
    close(their_logits(tuned, port, tensors), expected)


@torch.inference_mode()
def test_updates_folded_in_answer_the_same_in_the_port(
    transformers, adapted, port, tensors, config, tmp_path
):
    folder, ours = adapted
    inputs = pad_samples([sample(port, tensors, "video_and_image", config)], 0)
    expected = ours(inputs)
    merge_adapter(ours)
    close(ours(inputs), expected)
    save(ours, load(folder).processor, tmp_path / "merged", layout=Layout.TRANSFORMERS)
    theirs = transformers.VideoLlavaForConditionalGeneration.from_pretrained(tmp_path / "merged")
    close(their_logits(theirs.eval(), port, tensors), expected)


@torch.inference_mode()
def test_updates_folded_in_answer_the_same_in_the_official_layout(
    official_folder, port, tensors, config, tmp_path
):
    ours = with_updates(load_weights(official_folder))
    inputs = pad_samples([sample(port, tensors, "video_and_image", config)], 0)
    inputs.input_ids[inputs.visual_mask] = 0  # the port's placeholders are beyond the vocabulary
    expected = ours(inputs)
    merge_adapter(ours)
    save(ours, load(official_folder).processor, tmp_path / "merged")
    close(load_weights(tmp_path / "merged")(inputs), expected)


def test_the_tokenizer_that_ours_saves_gives_the_same_ids_there(transformers, official_folder, tmp_path):
    convert(official_folder, tmp_path / "port", layout=Layout.TRANSFORMERS)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "port")
    ours = load(tmp_path / "port").processor.tokenizer
    for text in ("USER: What is it? ASSISTANT:", "two  blanks\nand a line", "Café 日本"):
        assert theirs(text, add_special_tokens=False).input_ids == ours.encode(text)
    for name in ("<image>", "<video>", "<pad>", "</s>"):
        assert theirs.convert_tokens_to_ids(name) == ours.special_id(name)
