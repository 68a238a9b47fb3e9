"""A second project that installs the engine alone: a bookshop that takes orders of books.

It runs as a program of its own (`DJANGO_SETTINGS_MODULE=tests.bookshop.settings`) and shows how
little a project needs: settings, one app with models, events and consumers, and a view.
"""
