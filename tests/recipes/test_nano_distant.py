import numpy as np
import pytest

from kinema.recipes.nano_distant import VIEWS, DistantRun, accuracy, draw_batch, train_distant


@pytest.mark.parametrize(
    ("view", "size"),
    [("near", (56, 56)), ("native", (168, 168)), ("squeezed", (56, 56)), ("unseen", (112, 224))],
)
def test_pictures_are_as_large_as_their_view_says(view, size):
    batch = draw_batch(view, 2, np.random.default_rng(0))
    assert batch.pixel_values.shape == (2, 1, 3, *size)
    assert batch.labels.shape == (2,)


def test_a_squeezed_toy_is_a_third_as_large():
    def pixels_of_toy(view):
        pixels = draw_batch(view, 16, np.random.default_rng(0)).pixel_values
        distance = (pixels - pixels.flatten(-2).median(-1).values[..., None, None]).abs().amax(2)
        return float((distance > 0.8).float().mean() * pixels[0, 0, 0].numel())

    assert 5 < pixels_of_toy("native") / pixels_of_toy("squeezed") < 15


def test_training_ends_with_a_model_that_takes_every_view():
    model = train_distant(DistantRun(num_steps=6))
    assert not model.training
    shares = {view: accuracy(model, view, num_pictures=64) for view in VIEWS}
    assert all(0 <= share <= 1 for share in shares.values())
