"""Sales and accounts: catalogue, ledger, weeks, and the weekly e-mail.

`api` accepts a sale, at the prices of `catalogo`, and publishes it. `libro` enters it into the
ledger, in a week of `calendario`. `semanas` closes weeks and reports them.
"""
