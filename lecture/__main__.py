"""Lists the programs of the lecture: python -m lecture."""

from collections.abc import Sequence

from shared.system.cli import Parser, run_script

# A page a line: its program and what it is about, in the order of the lecture.
PAGES = {
    "convolution": "why a CNN over time is not enough",
    "recurrence": "the recurrence by hand in NumPy, against shared.layers",
    "hello": "h, e, l, o, with the matrices printed",
    "sentences": "many-to-one: the sentiment of short sentences",
    "negation": "deeper and bidirectional, on negation",
    "tracking": "many-to-many: two balls that hide behind a bar",
    "shakespeare": "Shakespeare at six points of training",
    "captions": "CNN and RNN: captions, successes and failures",
    "backpropagation": "back-propagation through time by hand, checked",
    "truncated": "truncated back-propagation: windows, carried or not",
    "vanishing": "exploding and vanishing gradients, and clipping",
    "gates": "the gates of GRU and LSTM, and the gradient that lasts",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    Parser("lecture", description="List the programs of the lecture, one a page.").parse_args(argv)
    for number, (name, title) in enumerate(PAGES.items(), 1):
        print(f"{number:>2}  python -m lecture.{name:<16}  {title}")
    print("\nEach takes --help, --quick and --picture FILE. The pages are in docs/lecture.")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
