"""CNN and RNN: captions of photographs by the shipped model, its successes and its failures."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from captioning.app import load_model
from lecture.page import page_parser, parse
from shared.data.packages import package_file
from shared.system.cli import UserError, run_script
from shared.system.files import write_atomic

# What the photographs of scikit-image show; a caption with one of these words counts as a success.
PHOTOGRAPHS = {
    "chelsea.png": ("cat", "kitten"),
    "coffee.png": ("cup", "coffee", "mug"),
    "motorcycle_left.png": ("motorcycle", "motorcycles", "motorbike"),
    "astronaut.png": ("woman", "astronaut"),
    "rocket.jpg": ("rocket",),
    "camera.png": ("camera", "photographer", "tripod"),
    "coins.png": ("coin", "coins"),
    "clock_motion.png": ("clock", "watch"),
    "page.png": ("text", "page", "book"),
}
TILE, COLUMNS, MARGIN = 200, 3, 10


def find_photographs(names: Sequence[str]) -> list[Path]:
    """The files of scikit-image, which is not imported.

    Raises:
        UserError: it is not installed.
    """
    paths = [path for name in names if (path := package_file("skimage", "data", name))]
    if not paths:
        raise UserError("The photographs come with scikit-image. Install it with `pip install '.[samples]'`.")
    return paths


def is_success(name: str, text: str) -> bool:
    """Whether a caption names what the photograph shows."""
    return bool({*text.split()} & {*PHOTOGRAPHS[name]})


def draw(paths: Sequence[Path], captions: Sequence) -> Image.Image:
    """The photographs with their captions below, successes marked in blue and failures in orange."""
    height = TILE + 62
    rows = -(-len(paths) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (TILE + MARGIN) + MARGIN, rows * height + MARGIN), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for index, (path, caption) in enumerate(zip(paths, captions, strict=True)):
        left, top = MARGIN + index % COLUMNS * (TILE + MARGIN), MARGIN + index // COLUMNS * height
        with Image.open(path) as image:
            small = image.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(small, (left, top))
        colour = "#0072B2" if is_success(path.name, caption.text) else "#D55E00"
        pen.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline=colour, width=4)
        pen.multiline_text((left, top + TILE + 4), wrapped(caption, font), fill="black", font=font)
    return sheet.quantize(128)


def wrapped(caption, font) -> str:
    """The words and the confidence of a caption, in lines as wide as a tile."""
    lines = [""]
    for word in [*caption.text.split(), f"({caption.confidence:.2f})"]:
        longer = f"{lines[-1]} {word}".strip()
        lines[-1:] = [longer] if font.getlength(longer) <= TILE else [lines[-1], word]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("captions", __doc__), argv, suffix=".png")
    paths = find_photographs(list(PHOTOGRAPHS)[: 3 if arguments.quick else None])
    captions = [best for best, *_ in load_model("photos").caption(paths)]
    for path, caption in sorted(zip(paths, captions, strict=True), key=lambda pair: -pair[1].confidence):
        result = "success" if is_success(path.name, caption.text) else "failure"
        print(f"{path.name:<20} {result}  {caption.confidence:.2f}  {caption.text}")
    if arguments.picture is not None:
        write_atomic(arguments.picture, draw(paths, captions).save)
        print(f"picture: {arguments.picture}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
