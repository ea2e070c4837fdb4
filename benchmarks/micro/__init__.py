"""What one step costs on one floor, without network: `make micro`, or `python -m benchmarks.micro`.

A change that moves a comparison by a few per cent is seen here first.
"""
