"""Everything that judges: launch the batch now? which instance? admit? how long does the work take?

Each decision is a pure function of integers, written once. The reference engine calls it as plain Python, the
compiled engine compiles the same text into its loop (``register_jitable``). An engine only moves time: for every
``if`` in an engine ask whether it is time or judgement, and put judgement here.

=============  ==================================================================
module         what it decides
=============  ==================================================================
admission      may this request join the queue?
batching       when does a free model instance take a batch, and how large?
triton         the same for Triton, whose batcher forms batches ahead of the instances
routing        which instance of the fleet receives this request?
service        how long does this execution take, alone and beside others?
=============  ==================================================================

Policies are chosen by an integer code, never by passing functions: passed functions lose numba's disk cache and
make every start three times slower. To add one, write the function, give it the next code, and extend the ``if``
chain of its module; the tests walk all codes.
"""
