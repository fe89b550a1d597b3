"""Validation after each epoch: captions of images that are not trained on, and their scores."""

import numpy as np

from captioning.config import FINAL_WORDS
from captioning.evaluation.cider import CiderD
from shared.system.cli import NothingLearned
from shared.system.escapes import visible
from shared.text.tokens import TOKENIZERS, join_tokens

SAMPLES_SHOWN = 4
FEW = 20  # with fewer validation images, their captions alone say too little about how rare words are
TRAINING_CHECKED = 40  # images that are captioned where a run may have learned nothing
VALIDATION_BATCH = 4  # times the batch size of training


class Validation:
    """Captions the validation images: CIDEr-D, the share of exact captions, and samples to read.

    With several sources each is scored by itself; `val_cider` and `val_exact` are then the means of theirs.

    Args:
        images: a source of `captioning.training.sources`.
        run: the run folder; gets the samples.
        config: settings of the run.
        training: the source of the training images. Where few images are validated, its captions count too
            for how rare a word is: CIDEr-D of one image alone would always be 0.
    """

    def __init__(self, images, run, config, training=None):
        self.images, self.run, self.config = images, run, config
        self.written: dict[int, list[str] | None] = {}  # by epoch, the caption of all images
        self.sources: dict[str, list[int]] = {}
        for row, example in enumerate(images.examples):
            self.sources.setdefault(example.source, []).append(row)
        tokenize = TOKENIZERS[config.tokenizer]
        self.references = [[tokenize(caption) for caption in e.captions] for e in images.examples]
        others = {}
        if training and len(self.references) < FEW:
            others = {
                example.image_id: [tokenize(caption) for caption in example.captions]
                for example in training.examples
            }
        self.ciders = {
            source: CiderD({row: self.references[row] for row in rows} | others)
            for source, rows in self.sources.items()
        }

    def __call__(self, epoch: int) -> dict[str, float]:
        captions = self.caption_all()
        self._show(epoch, captions)
        self.remember(epoch, captions)
        scores = {
            source: (
                self.ciders[source].score({row: captions[row] for row in rows})[0],
                float(np.mean([captions[row] in self.references[row] for row in rows])),
            )
            for source, rows in self.sources.items()
        }
        cider, exact = np.mean(list(scores.values()), axis=0)
        metrics = {"val_cider": float(cider), "val_exact": float(exact)}
        if self.config.self_critical:
            metrics |= self._habits(captions)
        if len(scores) > 1:
            metrics |= {f"val_cider_{source}": float(cider) for source, (cider, _) in scores.items()}
        return metrics

    def caption_all(self) -> list[list[str]]:
        """The words of the best caption of each validation image."""
        return self._caption(self.images)

    def remember(self, epoch: int, captions: list[list[str]]) -> None:
        """Keeps for `check_learned` whether the captions of an epoch are all the same."""
        self.written[epoch] = captions[0] if _all_alike(captions) else None

    def _habits(self, captions: list[list[str]]) -> dict[str, float]:
        """What goes wrong where captions are trained for a score: they shrink, break off, or are all alike.

        Returns:
            The mean length in words, the share of captions that end with a word such as "with", the share of
            distinct captions, and the share of the references' words that captions have.
        """
        words = [{word for words in references for word in words} for references in self.references]
        pairs = zip(captions, words, strict=True)
        return {
            "val_length": float(np.mean([len(caption) for caption in captions])),
            "val_broken": float(np.mean([not caption or caption[-1] in FINAL_WORDS for caption in captions])),
            "val_distinct": len(set(map(tuple, captions))) / len(captions),
            "val_recall": float(
                np.mean([len(known & set(caption)) / len(known) for caption, known in pairs])
            ),
        }

    def check_learned(self, training, best_epoch: int) -> None:
        """Checks that the captions of different images differ.

        Args:
            training: the source of the training images, some of which are captioned where the validation
                captions were all the same.
            best_epoch: the epoch whose weights were saved.

        Raises:
            NothingLearned: all images have one caption.
        """
        one = self.written.get(best_epoch)
        wanted = {caption for example in training.examples for caption in example.captions}
        if one is None or len(wanted) == 1:
            return
        others = self._caption(training, most=TRAINING_CHECKED)
        if _all_alike([one, *others]):
            raise NothingLearned(
                f"all images get the same caption, {visible(join_tokens(one))!r}. The run is saved in "
                f"{self.run.path}. Give more captioned images or more --epochs, or start from a trained "
                "model with --init-from."
            )

    def _caption(self, images, most: int | None = None) -> list[list[str]]:
        """The best captions of the first images of a source, `most` of them at most."""
        size = VALIDATION_BATCH * self.config.batch_size
        options = {"num_beams": self.config.validation_beams, "max_length": self.config.max_length}
        rows = np.arange(len(images.examples))[:most]
        results = [
            captions
            for first in range(0, len(rows), size)
            for captions in images.caption(rows[first : first + size], **options)
        ]
        return [list(best.tokens) for best, *_ in results]

    def _show(self, epoch, captions):
        step = max(len(captions) // SAMPLES_SHOWN, 1)
        shown = list(zip(self.images.examples, captions, strict=True))[::step][:SAMPLES_SHOWN]
        text = "\n".join(
            f"  {visible(example.image_id)}: {visible(join_tokens(words))}" for example, words in shown
        )
        self.run.append_samples(f"epoch {epoch}\n{text}")
        print(text, flush=True)


def _all_alike(captions: list[list[str]]) -> bool:
    return all(caption == captions[0] for caption in captions)
