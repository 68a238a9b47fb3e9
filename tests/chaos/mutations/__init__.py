"""The mutation run: plant known bugs in copies of the product, and see that the checker finds each.

bugs.py has the bugs, copies.py makes the copies, play.py is a short run of one scenario inside of a
copy, and the command goes through all of them:

    ./dev chaos --mutations [--only NAME]
"""
