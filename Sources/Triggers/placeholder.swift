enum TriggersModule {}
