"""The e-mails about an enrolment: which ones to send, their texts, and sending them."""
