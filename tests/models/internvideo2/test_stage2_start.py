from dataclasses import replace

import pytest
import torch
from bert_vocabulary import PIECES

from kinema.errors import WeightsError
from kinema.hub.keymap import KeyMap
from kinema.models.beats_keys import beats_rules
from kinema.models.bert_keys import bert_rules
from kinema.models.internvideo2.stage2_start import assemble_stage2
from kinema.models.internvideo2.start import start_student
from kinema.models.internvideo2.vision_checkpoint import save_vision
from kinema.modules.audio.beats import BEATs
from kinema.modules.text.bert import Bert
from kinema.recipes.nano_internvideo2_sizes import nano_stage2, nano_student

CONFIG = nano_stage2(len(PIECES), hears=True)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Weights of each part in files, those of BERT under their oldest names."""
    root = tmp_path_factory.mktemp("parts")
    save_vision(start_student(nano_student(), 0), root / "vision")
    text, ears = Bert(CONFIG.text), BEATs(CONFIG.sound.encoder)
    words = dict(KeyMap("BERT", bert_rules(CONFIG.text, theirs="", ours="")).export(text.state_dict()))
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in words.items()
        if ".crossattention." not in name
    }
    old["bert.pooler.dense.bias"] = old["cls.seq_relationship.bias"] = torch.zeros(2)
    (root / "text").mkdir()
    torch.save(old, root / "text/pytorch_model.bin")
    rules = beats_rules(CONFIG.sound.encoder, theirs="", ours="")
    torch.save(dict(KeyMap("BEATs", rules).export(ears.state_dict())), root / "ears.pth")
    return root, text, ears


def assemble(root, config=CONFIG):
    generator = torch.Generator().manual_seed(0)
    return assemble_stage2(config, root / "vision", root / "text", root / "ears.pth", generator)


def test_what_is_known_is_kept_and_what_joins_it_is_drawn(parts):
    root, text, ears = parts
    model = assemble(root)
    student = start_student(nano_student(), 0)
    assert model.vision_encoder.vision_encoder.pool.out.weight.equal(student.vision_encoder.pool.out.weight)
    assert model.text_encoder.layers[0].norm1.weight.equal(text.layers[0].norm1.weight)
    assert model.text_encoder.layers[4].attention.qkv.weight.equal(text.layers[4].attention.qkv.weight)
    cross = model.text_encoder.layers[4].cross_attention.query.weight
    assert not cross.equal(text.layers[4].cross_attention.query.weight)
    assert cross.std().item() == pytest.approx(0.02, rel=0.1)
    heard = model.hearing.audio_encoder.state_dict()
    assert all(tensor.equal(heard[name]) for name, tensor in ears.state_dict().items())
    again = assemble(root).state_dict()
    assert all(tensor.equal(again[name]) for name, tensor in model.state_dict().items())


def test_an_encoder_of_other_sizes_is_refused(parts):
    vision = replace(CONFIG.vision, pooled_size=64)
    with pytest.raises(WeightsError, match=r"vision is of other sizes: vision_encoder\.pool\.out\.weight"):
        assemble(parts[0], replace(CONFIG, vision=vision))
