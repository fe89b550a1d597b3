"""Lists the programs of the lecture: python -m lecture."""

from collections.abc import Sequence

from shared.system.cli import Parser, run_script

# The number of each page, its program, and what it is about.
PAGES = {
    1: ("convolution", "why a CNN over time is not enough"),
    2: ("recurrence", "the recurrence by hand in NumPy, against shared.layers"),
    3: ("hello", "h, e, l, o, with the matrices printed"),
    4: ("sentences", "many-to-one: the sentiment of short sentences"),
    5: ("negation", "deeper and bidirectional, on negation"),
    7: ("shakespeare", "Shakespeare at six points of training"),
    8: ("captions", "CNN and RNN: captions, successes and failures"),
    9: ("backpropagation", "back-propagation through time by hand, checked"),
    10: ("truncated", "truncated back-propagation: windows, carried or not"),
    11: ("vanishing", "exploding and vanishing gradients, and clipping"),
    12: ("gates", "the gates of GRU and LSTM, and the gradient that lasts"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    Parser("lecture", description="List the programs of the lecture, one a page.").parse_args(argv)
    for number, (name, title) in PAGES.items():
        print(f"{number:>2}  python -m lecture.{name:<16}  {title}")
    print("\nEach takes --help, --quick and --picture FILE. The pages are in docs/lecture.")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
