enum RewindModule {}
