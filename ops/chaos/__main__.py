"""``script/chaos``. Ends with one line of JSON, and exit code 1 where anyone was lost, got it twice, or is unknown."""

import argparse
import json
import random
import signal
import sys
from importlib import import_module


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--relay", choices=("practice", "postfix"), default="practice")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    # Told to end, it leaves nothing behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Only now what takes a moment to load.
    module = import_module("ops.chaos.postfix_run" if options.relay == "postfix" else "ops.chaos.run")
    result = module.run(options.recipients, options.kills, options.seed)
    print(json.dumps({**result, "seed": options.seed}))
    return 1 if any(result[name] for name in module.WRONG) else 0


if __name__ == "__main__":
    sys.exit(main())
