"""Temporary."""
class Replayer:
    def __init__(self,*a): pass
    async def replay(self, asked): raise NotImplementedError
