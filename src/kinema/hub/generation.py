"""What a checkpoint says about how to decode from it: ``generation_config.json``."""

from dataclasses import dataclass
from pathlib import Path

from kinema.errors import WeightsError
from kinema.hub.files import read_json
from kinema.hub.write import write_json

_FILE = "generation_config.json"


@dataclass(frozen=True, kw_only=True)
class GenerationDefaults:
    """Decoding settings that ship with weights; whoever asks a question may override each."""

    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    """Most tokens to choose from; None for all."""
    repetition_penalty: float = 1.0
    eos_token_ids: tuple[int, ...] = ()
    """Any of them ends an answer."""

    @classmethod
    def load(cls, folder: Path) -> "GenerationDefaults":
        """Read a checkpoint folder; without the file decoding is greedy and ends where config.json says.

        Raises:
            WeightsError: if a setting is not a number, or no file names a token that ends an answer.
        """
        path = folder / _FILE
        content = read_json(path) if path.is_file() else {}
        eos = content["eos_token_id"] if "eos_token_id" in content else _eos_of_config(folder)
        try:
            return cls(
                do_sample=bool(content.get("do_sample", cls.do_sample)),
                temperature=float(content.get("temperature", cls.temperature)),
                top_p=float(content.get("top_p", cls.top_p)),
                top_k=int(content["top_k"]) if content.get("top_k") else None,
                repetition_penalty=float(content.get("repetition_penalty", cls.repetition_penalty)),
                eos_token_ids=(eos,) if isinstance(eos, int) else tuple(map(int, eos)),
            )
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{path}: a setting is not a number ({error}).") from error

    def save(self, folder: Path) -> None:
        """Write ``generation_config.json``."""
        content = {
            "do_sample": self.do_sample,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": 0 if self.top_k is None else self.top_k,
            "repetition_penalty": self.repetition_penalty,
            "eos_token_id": list(self.eos_token_ids),
        }
        write_json(folder / _FILE, content)


def _eos_of_config(folder: Path) -> int | list[int]:
    config = read_json(folder / "config.json")
    eos = config.get("eos_token_id", config.get("text_config", {}).get("eos_token_id"))
    if eos is None:
        raise WeightsError(
            f"{folder}: neither {_FILE} nor config.json has an eos_token_id, which ends an answer."
        )
    return eos
