"""`./dev video`: record the running system into docs/video, from one script.

`story.py` is the script: what happens, in which order, with which caption. `studio.py` starts the
system, the terminal (`terminal.py`) and the windows of a browser (`windows.py`); `film.py` notes
which stretches of the recorded time are shown, and how. Afterwards `picture.py` draws each frame
and `movie.py` writes the MP4, its captions and its poster.
"""
