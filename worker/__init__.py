"""The GPU side of the farm: Celery workers that paint chunks, and the engine that does the painting."""
