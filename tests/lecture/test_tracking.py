"""Page 6: the rendered task is what the page says, folders are read, and the program runs and draws."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lecture.tracking.folder import COLUMNS, read_folder
from lecture.tracking.report import iou, score
from lecture.tracking.videos import BAR, HEIGHT, RADIUS, STEPS, WIDTH, render
from shared.system.cli import UserError

PAGE = Path(__file__).parents[2] / "docs" / "lecture" / "en" / "06-tracking.md"


def stretches(hidden):
    """Lengths of the whole stretches of hidden frames, those that the video's end cuts off left out."""
    text = "".join("h" if step else "." for step in hidden)
    return [len(stretch) for stretch in re.findall(r"(?<=\.)h+(?=\.)", text)]


def test_the_ball_hides_for_three_to_eight_frames():
    lengths = [length for hidden in render(5, 300).hidden for length in stretches(hidden)]
    assert len(lengths) > 200
    assert (min(lengths), max(lengths)) == (3, 8)


def test_balls_are_identical_and_marked_in_the_first_frame_only():
    videos = render(6, 40)
    redness = videos.frames[..., 0].astype(int) - videos.frames[..., 2]
    is_post = np.zeros(WIDTH, bool)
    is_post[int(BAR[0]) : int(BAR[1])] = True
    assert redness[:, 1:, :, ~is_post].max() < 20  # grey balls on a grey ground
    first = redness[:, 0][:, :, ~is_post]
    assert (first.reshape(40, -1).max(axis=1) > 80).all()
    # What is dark and not behind the bar is one ball or two of the same size.
    dark = (videos.frames[:, 1:, :, ~is_post].astype(int).sum(axis=-1) < 450).sum(axis=(2, 3))
    assert dark.max() <= 2 * (np.pi * (RADIUS + 0.5) ** 2)


def test_boxes_hold_the_ball():
    videos = render(7, 30)
    assert (videos.boxes >= -1e-3).all()
    assert (videos.boxes[..., 2] <= WIDTH + 1e-3).all()
    assert (videos.boxes[..., 3] <= HEIGHT + 1e-3).all()
    visible = (videos.boxes[..., 2] < BAR[0]) | (videos.boxes[..., 0] > BAR[1])
    for video, step in zip(*np.nonzero(visible), strict=True):
        x, y = np.floor((videos.boxes[video, step, :2] + videos.boxes[video, step, 2:]) / 2).astype(int)
        assert videos.frames[video, step, y, x].sum() < 450


def test_the_same_seed_renders_the_same_videos():
    assert (render(8, 3).frames == render(8, 3).frames).all()
    assert (render(8, 3).boxes != render(9, 3).boxes).any()


def test_scores_of_right_and_of_shifted_boxes():
    videos = render(4, 20)
    assert score(videos.boxes, videos) == pytest.approx((1, 0, 0))
    shifted = score(videos.boxes + np.float32([3, 4, 3, 4]), videos)
    assert shifted.visible == pytest.approx(5, abs=1e-4)
    assert shifted.hidden == pytest.approx(5, abs=1e-4)
    assert shifted.iou < 0.3
    assert iou(np.array([0.0, 0, 1, 1]), np.array([2.0, 2, 3, 3])) == 0


@pytest.fixture
def folder(tmp_path):
    """Two videos of eleven frames, twice as large as those of the network, and their table."""
    videos = render(10, 3, steps=11)
    lines = [",".join(COLUMNS)]
    for index, name in enumerate(("clip2", "clip10", "clip1")):
        (tmp_path / name).mkdir()
        for step, frame in enumerate(videos.frames[index]):
            file = f"frame{step}.png"
            Image.fromarray(frame).resize((2 * WIDTH, 2 * HEIGHT)).save(tmp_path / name / file)
            box = ",".join(str(2 * value) for value in videos.boxes[index, step])
            lines.append(f"{name},{file},{box}")
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path, videos


def test_a_folder_is_read_in_natural_order_and_to_scale(folder):
    path, videos = folder
    read = read_folder(path, steps=11)
    order = [2, 0, 1]  # clip1, clip2, clip10
    assert read.boxes == pytest.approx(videos.boxes[order], abs=1e-3)
    assert not read.hidden.any()
    difference = np.abs(read.frames[:, 1:].astype(int) - videos.frames[order][:, 1:])
    assert difference.mean() < 3
    assert (read.frames[:, 0, ..., 0].astype(int) - read.frames[:, 0, ..., 2]).max() > 80  # marked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("clip2,frame3.png", "clip2,frame99.png"), "no box for clip2/frame3.png"),
        (lambda text: text.replace("video,frame", "film,frame"), "must name the columns video"),
        (lambda text: re.sub(r"(clip1,frame0.png),[^,]*", r"\1,nan", text), "line 24: expected numbers"),
        (lambda text: re.sub(r"(clip1,frame0.png),[^,]*", r"\1,9999", text), "line 24: expected numbers"),
        (lambda text: re.sub(r"^clip(1|10),.*\n", "", text, flags=re.MULTILINE), "at least two"),
        (lambda text: text + "clip3,frame0.png,0,0,1,1\n", "clip3"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(folder, change, message):
    path, _ = folder
    table = path / "boxes.csv"
    table.write_text(change(table.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_folder(path, steps=11)


def test_too_few_frames_are_an_error(folder):
    with pytest.raises(UserError, match=f"has 11 frames. Expected at least {STEPS}; see --steps"):
        read_folder(folder[0])


@pytest.mark.slow
def test_the_program_tracks_a_folder_and_draws(folder, run):
    printed, picture = run(
        "tracking.__main__", "--quick", "--data", str(folder[0]), "--steps", "11", suffix=".gif"
    )
    assert re.search(r"^GRU +0\.\d\d +\d+\.\d\d px +nan px$", printed, re.MULTILINE)
    assert picture.startswith(b"GIF8")


@pytest.mark.slow
def test_a_tracker_gives_a_box_at_each_step_and_looks_only_back():
    from lecture.tracking.model import CELLS, make_tracker

    frames = render(11, 2, steps=6).frames
    later = frames.copy()
    later[:, 4:] = 0
    for name in CELLS:
        model = make_tracker(name, 6, HEIGHT, WIDTH, units=8)
        boxes, changed = (model.predict_on_batch(video) for video in (frames, later))
        assert boxes.shape == (2, 6, 4)
        looks_ahead = np.abs(boxes[:, :4] - changed[:, :4]).max() > 1e-4
        assert looks_ahead == (name == "bidirectional LSTM")


def test_the_page_shows_what_was_asked():
    text = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^(frame-wise CNN|GRU) +(.* px)$", text, re.MULTILINE))
    (_, _, frame_wise), (overlap, _, recurrent) = (
        [float(number) for number in re.findall(r"\d+\.\d+", rows[name])]
        for name in ("frame-wise CNN", "GRU")
    )
    assert overlap >= 0.85
    assert recurrent <= frame_wise / 3
