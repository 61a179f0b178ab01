"""Prints what got through: `python -m tests.escape`."""

from collections import Counter

from tests.escape.attempts import IN_A_NETWORK, all_attempts
from tests.escape.run import IN_CONTAINER, Layer, Starter, attempt
from tests.escape.sums import EXCESSES, exceed

STARTERS: tuple[Starter, ...] = ("root", "user", "root in a container", "user in a container")
LAYERS: tuple[Layer, ...] = ("launcher", "bubblewrap", "bubblewrap, network")


def main() -> None:
    attempts = all_attempts()
    print(f"{len(attempts)} attempts; counted are those that succeed without a sandbox\n")
    for starter in STARTERS:
        if IN_CONTAINER and "container" not in starter:
            continue
        control = attempt(attempts, starter, None)
        for name, why in control.odd.items():
            print(f"  ! {name}: {why}")
        for layer in LAYERS:
            if layer != "launcher" and "container" in starter and not IN_CONTAINER:
                continue
            outcome = attempt(attempts, starter, layer)
            through = outcome.succeeded & control.succeeded
            if "network" in layer:
                through -= IN_A_NETWORK
            print(f"{starter:20} {layer:19} {len(through)} of {len(control.succeeded)} got through; ", end="")
            print(f"outside {'as before' if outcome.is_untouched else 'CHANGED'}; end {outcome.end}")
            for kind, count in sorted(Counter(kind for kind, _ in control.succeeded).items()):
                names = sorted(name for each, name in through if each == kind)
                print(f"    {kind:10} {len(names):2} of {count:3}  {', '.join(names)}")
            for name, why in outcome.odd.items():
                print(f"    ! {name}: {why}")
            _exceed(starter, layer)


def _exceed(starter: Starter, layer: Layer) -> None:
    verdicts = [exceed(excess, starter, layer) for excess in EXCESSES]
    print(f"    {'sums':10} {sum(not each.holds for each in verdicts):2} of {len(verdicts):3}")
    for each in verdicts:
        if not each.holds:
            print(f"    ! {each.name}: {each.why}, {each.seconds} s, left {each.left}")


if __name__ == "__main__":
    main()
