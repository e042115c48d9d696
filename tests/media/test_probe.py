import io

import av
import numpy as np
import pytest
from av.video.reformatter import ColorTrc
from numbered_clips import INTERLACED, encode

from kinema.media.probe import probe


@pytest.mark.parametrize("flags", [0, INTERLACED])
def test_frames_are_flagged_as_interlaced_where_they_are(flags):
    assert probe(encode("mp4", "mpeg2video", flags=flags)).is_interlaced == bool(flags)


@pytest.mark.parametrize(
    ("transfer", "is_hdr"), [("BT709", False), ("SMPTE2084", True), ("ARIB_STD_B67", True)]
)
def test_high_dynamic_range_is_flagged(transfer, is_hdr):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=5)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p10le"
        stream.codec_context.color_trc = ColorTrc[transfer]
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8)).reformat(format="yuv420p10le")
        frame.color_trc = ColorTrc[transfer]
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert probe(file.getvalue()).is_hdr == is_hdr
