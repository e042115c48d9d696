import numpy as np

from kinema.evaluation.toybox_retrieval import toybox_retrieval
from kinema.media.video import open_video


class MeanColours:
    """Sees the mean colour of a picture or of a clip, and cannot read."""

    def embed_image(self, media):
        return np.stack([unit(picture.mean((0, 1))) for picture in media])

    def embed_video(self, media):
        vectors = []
        for path in media:
            with open_video(path) as video:
                frames = [pixels for _, pixels in video.iter_read(sampling="video_llava", num_frames=8)]
            vectors.append(unit(np.mean(frames, (0, 1, 2))))
        return np.stack(vectors)

    def embed_text(self, texts):
        return np.full((len(texts), 3), 3**-0.5)


def unit(colour):
    centred = colour - colour.mean()
    return centred / np.linalg.norm(centred)


def test_clips_are_found_by_what_is_seen_and_not_by_what_cannot_be_read():
    recall = toybox_retrieval(MeanColours(), num_clips=20)
    assert set(recall) == {"text to video", "video to text", "image to video", "text to image"}
    assert recall["text to video"][1] <= 2 / 20
    assert recall["image to video"][5] > 2 * 5 / 20
