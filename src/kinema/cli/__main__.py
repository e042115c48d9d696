"""``python -m kinema.cli`` is ``kinema``: what ``torchrun -m`` starts."""

from kinema.cli.main import run

if __name__ == "__main__":
    run()
