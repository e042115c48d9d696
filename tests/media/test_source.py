import io
import socket
import threading

import pytest

from kinema.errors import MediaError
from kinema.media import source
from kinema.media.source import FileView, opened


def test_two_views_of_a_file_keep_their_own_places():
    file = io.BytesIO(b"0123456789")
    one, two = FileView(file, 10), FileView(file, 10)
    assert (one.read(3), two.read(2), one.read(2)) == (b"012", b"01", b"34")
    assert two.seek(-1, io.SEEK_END) == 9
    assert two.seek(-4, io.SEEK_CUR) == 5
    assert (two.read(), one.tell()) == (b"56789", 5)


def test_a_stream_that_cannot_be_sought_is_read_whole():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    with opened(Pipe(b"abc")) as file:
        assert (file.size_bytes, file.file.read()) == (3, b"abc")


def test_errors_name_bytes_by_their_number_and_files_by_their_path(tmp_path):
    with opened(b"abc") as file:
        assert file.name == "<3 bytes>"
    (tmp_path / "clip.mp4").write_bytes(b"abc")
    with opened(tmp_path / "clip.mp4") as file:
        assert file.name == str(tmp_path / "clip.mp4")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(MediaError, match="not a plain file"), opened(tmp_path):
        pass


@pytest.fixture
def serve():
    """Answers every connection with the given pieces, and a pause before each; returns the address."""
    sockets, threads, stop = [], [], threading.Event()

    def start(pieces, pause_s):
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)  # closing with the request unread would reset the connection
                for piece in pieces:
                    if stop.wait(pause_s):
                        return
                    try:
                        connection.sendall(piece)
                    except OSError:  # the client has had enough
                        return

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/clip.mp4"

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    for listener in sockets:
        listener.close()


def test_a_download_comes_with_its_address_as_name(serve):
    url = serve([b"HTTP/1.0 200 OK\r\n\r\n", b"abc", b"def"], 0.0)
    with opened(url) as file:
        assert (file.name, file.size_bytes) == (url, 6)
        assert FileView(file.file, 6).read() == b"abcdef"


def test_a_silent_server_does_not_hang_us(serve, monkeypatch):
    monkeypatch.setattr(source, "_ANSWER_TIMEOUT_S", 0.2)
    with (
        pytest.raises(MediaError, match=r"clip\.mp4: cannot be downloaded: .*timed out"),
        opened(serve([b""], 60.0)),
    ):
        pass


def test_a_server_that_drips_for_ever_is_left(serve, monkeypatch):
    monkeypatch.setattr(source, "_DOWNLOAD_TIMEOUT_S", 0.2)
    url = serve([b"HTTP/1.0 200 OK\r\n\r\n", *[b"x"] * 1000], 0.02)
    with pytest.raises(MediaError, match="the download took over"), opened(url):
        pass


def test_a_download_above_the_bound_is_refused(serve, monkeypatch):
    monkeypatch.setattr(source, "_MAX_DOWNLOAD_BYTES", 100)
    url = serve([b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 1000], 0.0)
    with pytest.raises(MediaError, match="download it to a file first"), opened(url):
        pass


def test_a_download_that_breaks_off_is_an_error(serve):
    url = serve([b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n", b"abc"], 0.0)
    with pytest.raises(MediaError, match="broke off after 3 of 10 bytes"), opened(url):
        pass


def test_a_refused_connection_is_an_error():
    with pytest.raises(MediaError, match=r"127\.0\.0\.1:9/clip\.mp4: cannot be downloaded"):
        opened("http://127.0.0.1:9/clip.mp4").__enter__()
