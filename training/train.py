"""Train one stage: ``accelerate launch -m training.train --config training/configs/<name>.yaml``.

A run that was killed goes on from its last whole checkpoint when the same command is given again, and ends with the
same weights as one never killed.
"""

import signal
from pathlib import Path

from models.errors import LimpidError, is_full_disk
from training.core.command import Command
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a stage, training/configs/<name>.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. data.root=photos")
    parser.add_argument("--cpu", action="store_true", help="stay on the CPU where there is a GPU")
    options = parser.parse_args(arguments)
    with parser.reporting(ValueError, FileNotFoundError):
        config = load_config(options.config, options.set)
    try:
        trainer = Trainer(config, options.cpu)

        def ask_to_stop(*_: object) -> None:
            trainer.stop_asked = True

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        complete = trainer.run()
    except (LimpidError, FloatingPointError) as error:
        parser.exit(1, f"{error}\n")
    except OSError as error:
        if not is_full_disk(error):
            raise
        parser.exit(1, f"The disk is full ({error}): make room, and give the same command again.\n")
    trainer.accelerator.end_training()
    raise SystemExit(0 if complete else 143)


if __name__ == "__main__":
    main()
