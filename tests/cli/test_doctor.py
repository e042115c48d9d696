import av
import torch
from command_line import run

import kinema


def test_doctor_names_versions_codecs_and_devices():
    report = run("doctor", "--json").document
    assert report["versions"]["kinema"] == kinema.__version__
    assert report["versions"]["torch"] == torch.__version__
    assert report["ffmpeg"]["libavcodec"] == ".".join(map(str, av.library_versions["libavcodec"]))
    assert "h264" in report["codecs"]["decode video"]
    assert "cores" in report["devices"]["cpu"]


def test_doctor_can_be_pasted():
    report, printed = run("doctor", "--json").document, run("doctor").stdout
    for rows in report.values():
        for name in rows:
            assert f"\n  {name}" in printed
