"""What people do here, in the record itself: reads and changes as events, through the outbox."""
