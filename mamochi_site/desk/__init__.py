"""The admin as the guild's desk: its home, its menu, and the page of a maestro.

`home` and `menu` are called by unfold (UNFOLD in settings); `maestro` is a page of the admin.
"""
