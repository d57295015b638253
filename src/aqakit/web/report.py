"""One scored video as a page that needs no server, to keep, send, read and print anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from aqakit.report import document, svg
from aqakit.web.models import Answer, Clip, RunCard, Score


def report(job: Score, card: RunCard | None) -> str:
    """Return the page.

    Args:
        job: a finished job.
        card: the run that scored it; None if it is no longer served.
    """
    assert job.result is not None, "the job is finished"
    parts = (*_answer(job, job.result), *_clips(job.result), *_said(job.result), *_exemplars(job.result))
    bare = job.model_dump(exclude={"result": {"clips": {"__all__": {"still"}}}})
    body = f"<h1>{escape(job.name)}</h1>{''.join(parts)}{''.join(_made(job, job.result, card))}"
    return document.page(f"Score of {job.name}", body + document.embedded("report-data", bare))


def _answer(job: Score, found: Answer) -> Iterator[str]:
    unit = escape(found.unit)
    spread = f", give or take {found.std:.1f}" if found.std > 0 else ""
    yield f"<p class=score><b>{found.score:.1f}</b> {unit} of {found.high:g}{spread}</p>"
    if spread:
        held = "; ".join(f"{100 * one.level:g} % interval: {one.low:.1f} to {one.high:.1f}" for one in found.intervals)
        caption = f"Predicted density of the score, slightly smoothed; the line is the mean. {held} {found.unit}."
        wide = [(one.level, one.low, one.high) for one in found.intervals]
        drawn = svg.density(found.curve.scores, found.curve.density, wide, found.score, caption)
        yield f"<figure class=curve>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"
    fitted = ("The intervals were fitted on videos held out from training.",) if found.recalibrated and spread else ()
    yield document.paragraphs((*fitted, *found.notes))


def _clips(found: Answer) -> Iterator[str]:
    yield "<h2>What made the score</h2>"
    known = [abs(clip.contribution) for clip in found.clips if clip.contribution is not None]
    if known and found.baseline is not None:
        told = (
            f"How many {found.unit} better (blue) or worse (orange) than average each clip was (Shapley values). "
            f"An average recording scores {found.baseline:.1f}; with all clips this adds up to the prediction."
        )
        yield document.paragraphs((told,))
    reach = max([*known, (found.high - found.low) / 50]) or 1.0  # so that small contributions look small
    cards = (_clip(number, clip, reach) for number, clip in enumerate(found.clips, start=1))
    yield f"<div class=clips>{''.join(cards)}</div>"


def _clip(number: int, clip: Clip, reach: float) -> str:
    where = f"{clip.start:.1f} to {clip.end:.1f} s" if clip.end else f"frames {clip.first} to {clip.last}"
    still = document.picture(clip.still, f"middle of clip {number}") if clip.still else ""
    points = "" if clip.contribution is None else _points(clip.contribution, clip.error or 0.0, reach)
    return f"<article>{still}<h4>Clip {number}</h4><p class=note>{where}</p>{points}</article>"


def _points(value: float, error: float, reach: float) -> str:
    colour, start = ("blue", 0.0) if value >= 0 else ("orange", value / reach)
    bar = f'<rect x="{start:.3f}" width="{abs(value) / reach:.3f}" height="1" fill="var(--{colour})"/>'
    about = f" ± {error:.2f}" if error else ""
    return (
        f"<p><b>{value:+.2f}</b>{about}</p>"
        f'<svg viewBox="-1 0 2 1" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
    )


def _said(found: Answer) -> Iterator[str]:
    rest = [{"attribute": n.replace("_", " "), "class": str(v)} for n, v in found.said.items() if n != "caption"]
    if found.said:
        yield "<h2>Attributes and caption</h2>"
        yield f"<p>{escape(str(found.said['caption']))}</p>" if "caption" in found.said else ""
        yield document.table(rest, {"attribute": "attribute", "class": "class"}) if rest else ""


def _exemplars(found: Answer) -> Iterator[str]:
    if found.exemplars:
        yield "<h2>Nearest training recordings</h2>"
        titles = {"id": "recording", "score": f"score ({found.unit})", "distance": "distance"}
        rows = [{"id": e.id, "score": f"{e.score:.1f}", "distance": f"{e.distance:.2f}"} for e in found.exemplars]
        yield document.table(rows, titles)
        yield document.paragraphs(
            ("The training recordings most similar to this one for the method; at distance 0 they are the same to it.",)
        )


def _made(job: Score, found: Answer, card: RunCard | None) -> Iterator[str]:
    video, motion = found.video, found.motion
    pace = f" at {video.rate:.1f} per second" if video and video.rate else ""
    size = f"{video.width} × {video.height} pixels, {video.frames} frames{pace}, {escape(video.codec)}" if video else ""
    size = f"{motion.length} rows of {motion.channels} channels" if motion else size
    degree = "" if job.difficulty is None else f" with difficulty {job.difficulty:g}"
    yield "<h2>How the score was made</h2>"
    yield (f"<p>Scored by <b>{escape(job.run)}</b>{degree} in {found.seconds:.1f} s: {size}.</p>")
    if card:
        versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
        yield f"<p>{escape(card.summary)} Trained on {escape(card.data)}.</p>"
        yield f"<pre>{escape(card.command)}</pre>"
        yield document.paragraphs((f"Made with {versions}; fingerprint {card.fingerprint}.",))
