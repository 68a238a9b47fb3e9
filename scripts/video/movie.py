"""Write the film: H.264 in an MP4, its captions as WebVTT, and its poster."""

from fractions import Fraction
from pathlib import Path
from typing import Final

import av

from scripts.video.film import SIZE, Film, Shot
from scripts.video.picture import Painter

NAME: Final = "mamochi"
FRAMES_PER_SECOND: Final = 15
# Quality of x264 (0 to 51, less is better): text stays sharp, and the file far below 20 MB.
X264: Final = {"crf": "21", "preset": "veryfast", "tune": "animation", "g": str(10 * FRAMES_PER_SECOND)}
POSTER_SIZE: Final = (1280, 720)


def write(film: Film, folder: Path) -> float:
    """Write the files into the folder; return the length in seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.vtt").write_text(captions(film.shots))
    painter = Painter(film)
    with av.open(str(folder / f"{NAME}.mp4"), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=X264)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        number = 0
        shown = None
        for shot in film.shots:
            for n in range(frames_of(shot)):
                picture = painter.frame(shot, shot.begin + n / FRAMES_PER_SECOND)
                if picture is not shown:
                    shown, frame = picture, av.VideoFrame.from_image(picture).reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
                container.mux(stream.encode(frame))
                number += 1
            if shot.poster:
                picture.resize(POSTER_SIZE).save(folder / f"{NAME}.jpg", quality=85, optimize=True)
        container.mux(stream.encode())
    return number / FRAMES_PER_SECOND


def frames_of(shot: Shot) -> int:
    """Return the number of frames of the shot."""
    return max(1, round((shot.end - shot.begin) * FRAMES_PER_SECOND))


def captions(shots: list[Shot]) -> str:
    """Return the captions as WebVTT; notes before each name a pane, its place and a text there."""
    blocks = ["WEBVTT\nKind: captions\nLanguage: es"]
    begin = 0.0
    for shot in shots:
        end = begin + frames_of(shot) / FRAMES_PER_SECOND
        for pane, text in shot.seen:
            left, top, width, height = shot.layout.boxes[pane]
            blocks.append(f"NOTE {pane} {left},{top},{width},{height}: {text}")
        blocks.append(f"{_clock(begin)} --> {_clock(end)}\n{shot.caption}")
        begin = end
    return "\n\n".join(blocks) + "\n"


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3_600):02}:{int(seconds // 60) % 60:02}:{seconds % 60:06.3f}"
