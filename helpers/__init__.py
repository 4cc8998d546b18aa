"""Which paths does a residual network really use?  The instrument, for any residual network.

`network` and `models` hold networks, `unravel` makes one of any model, `lesions` and `sweep` delete
and reorder modules, `gradients` and `signed` say how much gradient flows along which paths,
`combinatorics` counts them.  Nothing here imports from `study`, `notebooks` or `book`.
"""
