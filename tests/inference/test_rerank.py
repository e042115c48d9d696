"""Re-ranking against the original's retrieval matrices, and what holds for any."""

import pytest
import torch
from golden_case import GoldenCase
from golden_stage2 import stage2_model
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.evaluation.retrieval import dual_softmax, recall_at
from kinema.inference.rerank import UNSCORED, rerank

RUNS = {"sim": "retrieval", "dsl": "retrieval_dsl_candidates"}


@torch.no_grad()
def features_of(case, kind):
    """A model with what it makes of the media and the texts of a case."""
    model, prefix = stage2_model(case), "av_caption." if "audio" in case.inputs else ""
    text = model.read(case.inputs[f"{prefix}input_ids"], case.inputs[f"{prefix}attention_mask"])
    if kind == "audio":
        return model, model.hear(case.inputs["audio"]), text
    seen = model.see(case.inputs["video"])
    return model, model.join(seen, model.hear(case.inputs["audio"])) if kind == "audio_video" else seen, text


def similarity_of(media, text):
    return F.normalize(media.projection, dim=-1) @ F.normalize(text.projection, dim=-1).T


def check_run(case, run, model, media, text, *, dual_candidates=False):
    similarity = similarity_of(media, text)
    dual = {"v2t": dual_softmax(similarity), "t2v": dual_softmax(similarity.T)}
    top_k = case.config["k_test"]
    scores = rerank(model, media, text, similarity, top_k=top_k)
    if dual_candidates:
        by_media = rerank(model, media, text, dual["v2t"], top_k=top_k).by_media
        by_text = rerank(model, media, text, dual["t2v"].T, top_k=top_k).by_text
        scores = scores._replace(by_media=by_media, by_text=by_text)
    found = {
        "v2t": {"match": scores.by_media, "sim": similarity, "dsl": dual["v2t"]},
        "t2v": {"match": scores.by_text, "sim": similarity.T, "dsl": dual["t2v"]},
    }
    for direction, kinds in found.items():
        case.check(kinds["match"], f"{run}.{direction}_match_logits")
        for kind, values in kinds.items():
            case.check(values.softmax(-1), f"{run}.{direction}_{kind}_softmax")
            stored = case.details["retrieval_metrics"][run][kind]
            for place, share in recall_at(values.softmax(-1)).items():
                assert round(100 * share, 2) == stored[f"{direction}_r{place}"], (run, direction, kind)


@pytest.mark.parametrize("dual_candidates", [False, True])
def test_retrieval_of_the_visual_model_equals_the_original(golden_dir, dual_candidates):
    case = GoldenCase(golden_dir / "internvideo2/C_stage2_visual")
    run = RUNS["dsl" if dual_candidates else "sim"]
    check_run(case, run, *features_of(case, "video"), dual_candidates=dual_candidates)


@pytest.mark.parametrize("kind", ["video", "audio", "audio_video"])
def test_retrieval_of_the_hearing_model_equals_the_original(golden_dir, kind):
    case = GoldenCase(golden_dir / "internvideo2/C_stage2_audiovisual")
    check_run(case, f"{kind}_retrieval", *features_of(case, kind))


def test_what_is_not_among_the_nearest_is_not_scored(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/C_stage2_visual")
    model, media, text = features_of(case, "video")
    similarity = torch.eye(len(media.tokens))
    scores = rerank(model, media, text, similarity, top_k=1, batch_size=3)
    for rows in scores:
        assert (rows.diagonal() != UNSCORED).all()
        assert (rows[~similarity.bool()] == UNSCORED).all()
    whole = rerank(model, media, text, similarity, top_k=99)
    assert (whole.by_media != UNSCORED).all()
    torch.testing.assert_close(whole.by_media, whole.by_text.T)


@pytest.mark.parametrize("changes", [{"top_k": 0}, {"batch_size": 0}])
def test_nothing_to_score_is_refused(changes):
    with pytest.raises(ConfigError, match="at least 1"):
        rerank(None, None, None, torch.eye(2), **changes)
