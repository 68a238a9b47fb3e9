"""Reading what people in Chile type: texts, numbers and e-mail addresses, cleaned or refused.

`form_fields` does so in Django's forms, `serializer_fields` in the API.
"""
