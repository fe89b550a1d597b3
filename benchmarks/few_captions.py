"""What a few captioned photographs of one theme are worth: CIDEr of the preset before and after.

    python -m benchmarks.few_captions coco/captions.jsonl

The photographs are of the validation part of a source, which the preset `photos` was not trained on. Of those
of a theme, 50 are for training (of these, 5 for validation) and 20 others are scored. `--style telegraphic`
leaves articles, prepositions and forms of "be" out of all captions, as a catalogue does: a style to adapt to.
"""

import json
import random
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from captioning import evaluate, train
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number

THEMES = {
    "food": "food|plate|pizza|cake|sandwich|fruit|bananas?|vegetables|meal|bowl|table|kitchen|donuts?"
    "|hot dog|broccoli|eating",
    "traffic": "trains?|bus|buses|trucks?|cars?|motorcycles?|bicycle|bike|street|traffic|road|airplane"
    "|plane|jet|boats?",
}
LEFT_OUT = r"\b(a|an|the|is|are|am|be|of|in|on|at|with|and|to|it|its|that|this|there|some|his|her|by|for)\b"
SCORED = 20


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.few_captions", description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="a .jsonl file of captions with a column split")
    parser.add_argument("--theme", choices=THEMES, default="food", help="(default: %(default)s)")
    parser.add_argument("--style", choices=("plain", "telegraphic"), default="plain", help="(default: plain)")
    parser.add_argument("--count", type=whole_number, default=50, help="photographs (default: %(default)s)")
    parser.add_argument("--seeds", type=whole_number, default=5, help="(default: %(default)s)")
    arguments, options = parser.parse_known_args(argv)
    print(describe_machine())
    photographs = read_theme(arguments.source, arguments.theme, arguments.style)
    print(f"{len(photographs)} photographs of {arguments.theme}, captions {arguments.style}")
    before, after = [], []
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            scores = measure(Path(folder), photographs, arguments.count, seed, options)
            minutes = (time.perf_counter() - began) / 60
        before.append(scores[0])
        after.append(scores[1])
        print(f"seed {seed}: CIDEr {scores[0]:.3f} -> {scores[1]:.3f}, {minutes:.1f} minutes", flush=True)
    mean = [statistics.mean(scores) for scores in (before, after)]
    print(f"mean: {mean[0]:.3f} -> {mean[1]:.3f}, times {mean[1] / mean[0]:.2f}")
    return 0


def read_theme(source: Path, theme: str, style: str) -> dict[str, list[str]]:
    """The captions of the validation photographs that most of their captions say are of the theme."""
    captions = defaultdict(list)
    for line in source.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["split"] == "validation":
            captions[str(source.parent / row["image"])].append(row["caption"])
    pattern = re.compile(rf"\b({THEMES[theme]})\b")
    chosen = {
        image: texts
        for image, texts in captions.items()
        if sum(bool(pattern.search(text.lower())) for text in texts) * 2 > len(texts)
    }
    if style == "telegraphic":
        chosen = {image: [*map(telegraphic, texts)] for image, texts in chosen.items()}
    return chosen


def telegraphic(caption: str) -> str:
    """A caption without articles, prepositions and forms of "be"."""
    return " ".join(re.findall(r"[\w'-]+", re.sub(LEFT_OUT, "", caption.lower())))


def measure(
    folder: Path, photographs: dict[str, list[str]], count: int, seed: int, options: Sequence[str]
) -> tuple[float, float]:
    """The CIDEr of the preset and of the model that starts from it, on photographs that it did not see."""
    images = sorted(photographs)
    random.Random(seed).shuffle(images)
    splits = ["test"] * SCORED + ["validation"] * (count // 10) + ["train"] * (count - count // 10)
    with (folder / "mine.jsonl").open("w", encoding="utf-8") as file:
        for image, split in zip(images, splits, strict=False):
            for caption in photographs[image]:
                file.write(json.dumps({"image": image, "caption": caption, "split": split}) + "\n")
    data, run = str(folder / "mine.jsonl"), str(folder / "run")
    train.main(["--data", data, "--out", run, "--seed", str(seed), *options])
    return tuple(cider(model, data, folder / f"{index}.json") for index, model in enumerate(("photos", run)))


def cider(model: str, data: str, out: Path) -> float:
    evaluate.main(["--model", model, "--data", data, "--split", "test", "--out", str(out), "--no-meteor"])
    return json.loads(out.read_text())["metrics"]["metrics"]["CIDEr"]


if __name__ == "__main__":
    raise SystemExit(run_script(main))
