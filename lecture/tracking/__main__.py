"""Tracking, many-to-many: a ball that is marked once is followed through crossings and behind a bar."""

from collections.abc import Sequence
from pathlib import Path

from lecture.page import page_parser, parse
from lecture.tracking.folder import read_folder
from lecture.tracking.report import save_animation, score
from lecture.tracking.videos import HEIGHT, STEPS, WIDTH, Videos, render
from shared.system.cli import run_script
from shared.system.options import whole_number
from shared.system.quiet import import_tensorflow_quietly

TRAINED, TESTED, BATCH = 4000, 200, 16
UPDATES = 2000  # steps of the optimizer, whatever the number of videos


def parse_arguments(argv: Sequence[str] | None):
    parser = page_parser("tracking", __doc__)
    parser.add_argument("--all", action="store_true", help="five networks, not two; takes several minutes")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="frames and boxes.csv in place of rendered videos"
    )
    parser.add_argument(
        "--steps",
        type=whole_number,
        default=STEPS,
        metavar="N",
        help="frames of a video (default: %(default)s)",
    )
    return parse(parser, argv, suffix=".gif")


def load(arguments) -> tuple[Videos, Videos]:
    """The videos for training and those for the test."""
    if arguments.data is None:
        count = 320 if arguments.quick else TRAINED
        return render(1, count, arguments.steps), render(2, TESTED, arguments.steps)
    videos = read_folder(arguments.data, arguments.steps)
    held_out = -(-len(videos.frames) // 5)  # a fifth, at least one
    return Videos(*(part[:-held_out] for part in videos)), Videos(*(part[-held_out:] for part in videos))


def train(name: str, videos: Videos, updates: int):
    """A new network, trained on the mean distance between its boxes and the true ones."""
    import keras

    from lecture.tracking.model import make_tracker
    from shared.training.optimizers import make_muon

    keras.utils.set_random_seed(1)
    model = make_tracker(name, videos.frames.shape[1], HEIGHT, WIDTH)
    epochs = -(-updates // -(-len(videos.frames) // BATCH))
    rate = keras.optimizers.schedules.CosineDecay(
        5e-4, updates, warmup_target=0.01, warmup_steps=min(100, updates // 2), alpha=0.01
    )
    optimizer = make_muon(rate)
    optimizer.clipnorm = 1.0
    model.compile(optimizer, "mean_absolute_error", jit_compile=False)
    model.fit(videos.frames, videos.boxes, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse_arguments(argv)
    training, test = load(arguments)
    import_tensorflow_quietly()
    from lecture.tracking.model import CELLS

    names = list(CELLS) if arguments.all else ["frame-wise CNN", "GRU"]
    print(f"{len(training.frames)} videos of {arguments.steps} frames; test on {len(test.frames)} others,")
    print(f"where the ball is hidden in {test.hidden.mean():.0%} of the frames")
    print(f"{'':<20}{'IoU, visible':>14}{'error, visible':>16}{'error, hidden':>15}")
    for name in names:
        model = train(name, training, 20 if arguments.quick else UPDATES)
        predicted = model.predict(test.frames, batch_size=50, verbose=0)
        result = score(predicted, test)
        print(f"{name:<20}{result.iou:14.2f}{result.visible:13.2f} px{result.hidden:12.2f} px", flush=True)
        if name == "GRU":
            boxes = predicted
    if arguments.picture is not None:
        save_animation(arguments.picture, test, boxes, range(min(4, len(test.frames))))
        print(f"picture: {arguments.picture}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
