"""The language of the system: posts, events, tracks, media, buckets, the store, Kafka delivery."""
