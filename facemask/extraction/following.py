"""Faces followed through a video by the tracker, by masks, and by what is known already."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from facemask.extraction.corrections import corrections_of, first_corrections
from facemask.extraction.journal import Journal, Memories
from facemask.extraction.mouths import shut_mouths
from facemask.extraction.results import ExtractedFrame
from facemask.extraction.temporal import FaceLabeller
from facemask.tracking.tracker import FaceTracker, TrackedFace
from facemask.video.frames import FrameSource, SquarePixels, VideoFrame

_WAITING: Final = 64_000_000
"""Bytes of pictures that may wait between two stages."""
_MOST_WAITING: Final = 20
"""The same in pictures: as many as are labelled together."""


class FaceFollower:
    """Follows the faces of one video, corrected by their masks.

    Args:
        tracker: A new tracker.
        upright: Whether faces are turned upright.
        first_look: Labels faces in the frame in which they begin, so that they are looked at again
            where their masks show them; None leaves them where the detector saw them.
        journal: What is known of these frames from an earlier call, and what this one learns.
    """

    def __init__(
        self,
        tracker: FaceTracker,
        upright: bool,
        first_look: FaceLabeller | None,
        journal: Journal | None = None,
    ) -> None:
        self._tracker = tracker
        self._upright = upright
        self._first_look = first_look
        self._journal = journal or Journal()
        self._open_mouths: dict[int, bool] = {}

    def foreseen(
        self, frames: Iterable[VideoFrame], squares: SquarePixels
    ) -> Generator[VideoFrame, None, None]:
        """Yield frames for `step`, the detector having looked already at most that it looks at.

        For the thread that decodes, which has time for that.

        Args:
            frames: The frames as they are stored.
            squares: The mapping to square pixels, which `step` will get: where that changes
                frames, they are not looked at before.
        """
        for frame in frames:
            if not squares.changes:
                self._tracker.foresee(frame.index, frame.image)
            yield frame

    def step(
        self, frame: VideoFrame, squares: SquarePixels | None = None, given: bool = False
    ) -> tuple[VideoFrame, list[TrackedFace]]:
        """Return the next frame with square pixels, and its faces in these.

        Args:
            frame: The frame as it is stored.
            squares: The mapping to square pixels; None where they are square.
            given: Whether faces are given, in stored pixels, rather than found in square ones.
        """
        square = frame if squares is None else replace(frame, image=squares.image(frame.image))
        faces = self._tracker.step((frame if given else square).image)
        if given and squares is not None:
            places = [face.turned_box.scaled(squares.x, squares.y) for face in faces]
            return square, [
                replace(face, box=place.box, roll=place.roll)
                for face, place in zip(faces, places, strict=True)
            ]
        begun = [face for face in faces if face.restart]
        if self._first_look is None or not begun:
            return square, faces
        starts = self._journal.starts
        if frame.index not in starts:
            shown = first_corrections(square, begun, self._first_look, self._upright)
            self._journal.note_start(frame.index, shown)
        for known in starts[frame.index]:
            self._tracker.correct(*known)
        return square, self._tracker.faces()

    def shut_mouths(self, count: int, results: Sequence[ExtractedFrame]) -> list[ExtractedFrame]:
        """Return labelled frames in which shut mouths are lips alone.

        Args:
            count: Number of frames labelled before them.
            results: The frames.
        """
        were_open = self._journal.open_mouths.get(count, self._open_mouths)
        frames, self._open_mouths = shut_mouths(results, were_open)
        self._journal.open_mouths[count + len(results)] = self._open_mouths
        return frames

    def correct(self, count: int, results: Sequence[ExtractedFrame], memories: Memories) -> None:
        """Take over where masks show the faces.

        Args:
            count: Number of frames labelled by now.
            results: The latest of them.
            memories: The networks' memories after them.
        """
        if count not in self._journal.corrections:  # else the frames lie before the first wanted
            self._journal.note(count, corrections_of(results, self._upright), memories)
        self.repeat(count)

    def repeat(self, count: int) -> None:
        """Take over what masks showed once `count` frames had been labelled, if that is known."""
        for known in self._journal.corrections.get(count, ()):
            self._tracker.correct(*known)

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another video."""
        self._tracker.reset()
        self._open_mouths = {}
        self.forget()

    def forget(self) -> None:
        """Forget what another call would need to go on from here: a live stream has none."""
        self._journal = Journal()


def frames_ahead(source: FrameSource) -> int:
    """Return how many frames of a source may wait between two stages: a chunk, in 64 MB."""
    return min(max(_WAITING // (3 * source.height * source.width), 2), _MOST_WAITING)
