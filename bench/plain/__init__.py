"""The peer of `bench api`: plain Django REST framework with knox, which inserts each sale as a row.

Written as the tutorials of both show it. It shares no code and no settings with the product.
"""
