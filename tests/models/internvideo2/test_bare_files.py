"""The front door and the files that InternVideo2 was published in, which hold weights and nothing else."""

import json

import numpy as np
import pytest
import torch
from bare_internvideo2 import CLIP_TOKENS, cached, chat, clip, parts_of, stage2
from bert_vocabulary import PIECES
from chat_pieces import letter_pieces
from clip_vocabulary import write_vocabulary
from safetensors.torch import save_file

import kinema
from kinema.errors import ConfigError, InputError, OutOfBudgetError, WeightsError
from kinema.inference import load as front_door
from kinema.media.frames import FrameBatch
from kinema.models.internvideo2.clip_checkpoint import load_clip
from kinema.models.internvideo2.file_kinds import parts_of_trained
from kinema.models.internvideo2.stage2_checkpoint import load_stage2
from kinema.models.registry import convert_model, find_parts, load_model
from kinema.processors.square_pixels import square_pixels

CLIP = np.random.default_rng(0).integers(0, 256, (4, 40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def seeing():
    return stage2()


@pytest.fixture(scope="module")
def comparing():
    return clip()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The hub's cache with the vocabularies that are fetched unasked."""
    cache = tmp_path_factory.mktemp("cache")
    (cached(cache, "google-bert/bert-large-uncased") / "vocab.txt").write_text("\n".join(PIECES))
    write_vocabulary(cached(cache, "openai/clip-vit-base-patch32"))
    return cache


@pytest.fixture(scope="module")
def files(comparing, tmp_path_factory):
    """The three files of a CLIP model, as a trainer writes them."""
    folder = tmp_path_factory.mktemp("clip")
    paths = {name: folder / f"{name}.pth" for name in ("vision", "text", "trained")}
    for name, tensors in parts_of(comparing[1]).items():
        torch.save({"module": tensors}, paths[name])
    return paths


def write_stage2(tensors, folder):
    """The file under its published name, as its trainer wrote it."""
    folder.mkdir(exist_ok=True)
    path = folder / "InternVideo2-stage2_1b-224p-f4.pt"
    torch.save({"module": tensors, "epoch": 9}, path)
    return path


@torch.no_grad()
@pytest.mark.parametrize("given", ["file", "folder", "hub"])
def test_a_bare_file_of_stage_2_embeds_with_the_published_vocabulary(seeing, cache, tmp_path, given):
    model, tensors = seeing
    if given == "hub":
        folder = cached(tmp_path, "OpenGVLab/InternVideo2-Stage2_1B-224p-f4")
        (tmp_path / "models--google-bert--bert-large-uncased").symlink_to(
            cache / "models--google-bert--bert-large-uncased"
        )
        write_stage2(tensors, folder)
        source, cache = "OpenGVLab/InternVideo2-Stage2_1B-224p-f4", tmp_path
    else:
        path = write_stage2(tensors, tmp_path / "downloaded")
        source = path if given == "file" else path.parent
    embedding = kinema.load(source, device="cpu", offline=True, cache_dir=cache)
    assert embedding.modalities == ("video", "image")
    expected = model.embed_pixels(square_pixels(CLIP, size=224)[None])
    np.testing.assert_allclose(embedding.embed_video(CLIP), expected, atol=1e-5)
    dog = torch.tensor([[PIECES.index(piece) for piece in ("[CLS]", "a", "dog", "[SEP]")]])
    np.testing.assert_allclose(embedding.embed_text("A dog!"), model.embed_text(dog), atol=1e-5)
    found = embedding.rank("a dog", embedding.embed_video([CLIP, CLIP[::-1].copy()]))
    again = embedding.rerank("a dog", [CLIP, CLIP[::-1].copy()], found, modality="video")
    assert len(again) == 2


def test_a_vocabulary_beside_the_file_needs_no_hub(seeing, tmp_path):
    path = write_stage2(seeing[1], tmp_path / "downloaded")
    (path.parent / "vocab.txt").write_text("\n".join(PIECES))
    embedding = kinema.load(path, device="cpu", offline=True, cache_dir=tmp_path)
    assert embedding.embed_text("a dog").shape == (1, 8)


def test_a_vocabulary_that_cannot_be_fetched_is_named_and_how_to_give_it(seeing, tmp_path):
    path = write_stage2(seeing[1], tmp_path / "downloaded")
    said = r"needs BERT's vocabulary: google-bert/bert-large-uncased .* parts=\{'tokenizer': \.\.\.\}"
    with pytest.raises(WeightsError, match=said):
        kinema.load(path, device="cpu", offline=True, cache_dir=tmp_path)
    words = tmp_path / "words"
    words.mkdir()
    (words / "vocab.txt").write_text("\n".join(PIECES))
    for given in (words, words / "vocab.txt"):
        assert kinema.load(path, device="cpu", parts={"tokenizer": given}).embed_text("a dog").shape == (1, 8)


def test_the_vocabulary_of_another_model_is_refused(seeing, tmp_path):
    path = write_stage2(seeing[1], tmp_path / "downloaded")
    words = tmp_path / "words"
    words.mkdir()
    (words / "vocab.txt").write_text("\n".join(PIECES[:-2]))
    said = f"the vocabulary has {len(PIECES) - 2} tokens, the text encoder {len(PIECES)}"
    with pytest.raises(WeightsError, match=said):
        kinema.load(path, device="cpu", parts={"tokenizer": words})


@pytest.mark.parametrize("absent", ["vision_proj.weight", "text_proj.bias", "itm_head.weight", "temp"])
def test_a_bare_file_without_a_projection_never_loads(seeing, cache, tmp_path, absent):
    tensors = {key: tensor for key, tensor in seeing[1].items() if key != absent}
    path = write_stage2(tensors, tmp_path / "downloaded")
    with pytest.raises(WeightsError, match=f"(1 key missing:|there is no) {absent}"):
        kinema.load(path, device="cpu", offline=True, cache_dir=cache)


def test_what_was_trained_of_clip_names_the_files_it_lies_on(files, cache):
    with pytest.raises(WeightsError) as caught:
        kinema.load(files["trained"], device="cpu", offline=True, cache_dir=cache)
    assert str(caught.value) == (
        f"{files['trained']} is only a part of a model and needs the video encoder it was trained on and "
        "MobileCLIP-B's text tower; pass parts={'vision': 'OpenGVLab/InternVideo2_distillation_models/stage1/"
        "S14/S14_dist_1B_stage2/pytorch_model.bin', 'text': 'apple/MobileCLIP-B-LT/mobileclip_blt.pt'}, or "
        "your own copies of them."
    )


@torch.no_grad()
def test_clip_is_put_together_at_the_front_door_and_kept_whole(comparing, files, cache, tmp_path):
    parts = {"vision": files["vision"], "text": files["text"]}
    place = {"offline": True, "cache_dir": cache}
    embedding = kinema.load(files["trained"], device="cpu", parts=parts, **place)
    expected = comparing[0].embed_pixels(square_pixels(CLIP, size=224)[None])
    np.testing.assert_allclose(embedding.embed_video(CLIP), expected, atol=1e-5)
    assert embedding.embed_text("a dog").shape == (1, 512)
    convert_model(files["trained"], tmp_path / "whole", layout="official", parts=parts, **place)
    whole = kinema.load(tmp_path / "whole", device="cpu")
    np.testing.assert_allclose(whole.embed_video(CLIP), expected, atol=1e-5)
    np.testing.assert_allclose(whole.embed_text("a dog"), embedding.embed_text("a dog"), atol=1e-6)


@pytest.mark.parametrize("name", ["base", "tokenzier"])
def test_a_part_that_is_not_needed_is_refused_by_its_name(files, name):
    with pytest.raises(ConfigError, match=f"takes no part {name}; it needs vision, text, tokenizer"):
        find_parts(files["trained"], {name: "x"})


def test_a_whole_folder_needs_nothing_beside_it(comparing, files, cache, tmp_path):
    parts = {"vision": files["vision"], "text": files["text"]}
    convert_model(
        files["trained"], tmp_path / "whole", layout="official", parts=parts, offline=True, cache_dir=cache
    )
    with pytest.raises(ConfigError, match="takes no part text, vision; it needs nothing beside its files"):
        load_model(tmp_path / "whole", parts=parts | {"vision": files["vision"]})


def test_room_is_made_for_the_whole_of_what_is_put_together(files, cache, monkeypatch):
    monkeypatch.setattr(front_door, "free_bytes", lambda device: 1_000_000)
    parts = {"vision": files["vision"], "text": files["text"]}
    with pytest.raises(OutOfBudgetError, match=r"trained\.pth: its weights take 0\.0 GB"):
        kinema.load(files["trained"], device="cpu", parts=parts, offline=True, cache_dir=cache)


@pytest.mark.parametrize(
    ("width", "is_small", "vision", "text"),
    [
        (768, True, "B14/B14_dist_1B_stage2/pytorch_model.bin", "mobileclip_blt.pt"),
        (1024, True, "L14/L14_dist_1B_stage2/pytorch_model.bin", "mobileclip_blt.pt"),
        (1408, False, "OpenGVLab/InternVideo2-Stage2_1B-224p-f4", "internvl_c_13b_224px.pth"),
        (3200, False, "OpenGVLab/InternVideo2-Stage2_6B-224p-f4", "internvl_c_13b_224px.pth"),
    ],
)
def test_the_files_that_each_clip_model_lies_on_are_known_by_its_width(width, is_small, vision, text):
    shapes = {"temp": (), "vision_encoder.clip_projector.cross_attn.q.weight": (width, width)}
    if is_small:
        shapes["vision_align.1.weight"] = (512, 768)
    published = [part.published for part in parts_of_trained(shapes)]
    assert published[0].endswith(vision)
    assert published[1].endswith(text)


@torch.no_grad()
def test_the_files_of_a_chat_model_answer_whatever_their_config_says(cache, tmp_path):
    tensors = chat()[1]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.model").write_bytes(letter_pieces(30))
    for config in ({}, {"model_type": "InternVideo2_VideoChat2"}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        model = kinema.load(tmp_path, device="cpu", dtype="float32")
        clip = FrameBatch(data=CLIP, pts_s=np.arange(4.0), duration_s=4.0)
        assert isinstance(model.ask(clip, "what is seen", max_new_tokens=2), str)
        assert model.last_usage.visual_tokens == 3


PARTS = {
    "student": ("load_student", {"cls_token": (1, 1, 4), "clip_decoder.0.norm.weight": (4,)}),
    "classifier": ("load_classifier", {"cls_token": (1, 1, 4), "head.weight": (4, 4), "fc_norm.bias": (4,)}),
    "tower": ("load_tower", {"cls_token": (1, 1, 4), "clip_projector.cross_attn.q.weight": (4, 4)}),
    "videomae": (
        "load_videomae",
        {"encoder.patch_embed.proj.weight": (1,), "encoder.blocks.0.attn.q_bias": (4,)},
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_file_of_a_part_says_what_loads_it(tmp_path, name):
    loader, shapes = PARTS[name]
    torch.save({"module": {key: torch.ones(shape) for key, shape in shapes.items()}}, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=rf"part of InternVideo2.*checkpoint\.{loader}"):
        kinema.load(tmp_path / "part.pth", device="cpu")


@pytest.mark.parametrize(
    ("load", "given", "said"),
    [
        (load_clip, "stage2", "there is no text_encoder.embedding_layer.weight among them"),
        (load_clip, "chat", "there is no vision_encoder.clip_projector.cross_attn.proj.weight among them"),
        (load_clip, "trained", "there is no vision_encoder.pos_embed among them"),
        (load_stage2, "clip", "there is no vision_encoder.clip_decoder.0.norm.weight among them"),
        (load_stage2, "chat", "there is no vision_encoder.clip_projector.cross_attn.proj.weight among them"),
    ],
)
def test_the_file_of_another_kind_is_refused_by_what_it_lacks(seeing, comparing, tmp_path, load, given, said):
    tensors = {
        "stage2": lambda: seeing[1],
        "clip": lambda: comparing[1],
        "trained": lambda: parts_of(comparing[1])["trained"],
        "chat": lambda: chat()[1],
    }[given]()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=rf"model\.safetensors: these are not the weights that were asked for: {said}"
    ):
        load(tmp_path / "model.safetensors")


def test_the_tokens_of_clips_vocabulary_are_those_of_its_table(comparing):
    assert comparing[1]["text_encoder.embedding_layer.weight"].shape[0] == CLIP_TOKENS


def test_a_model_that_compares_vectors_says_so_when_asked_to_look_again(comparing, files, cache):
    parts = {"vision": files["vision"], "text": files["text"]}
    embedding = kinema.load(files["trained"], device="cpu", parts=parts, offline=True, cache_dir=cache)
    found = embedding.rank("a dog", embedding.embed_video(CLIP))
    with pytest.raises(InputError, match="compares vectors only"):
        embedding.rerank("a dog", [CLIP], found, modality="video")
