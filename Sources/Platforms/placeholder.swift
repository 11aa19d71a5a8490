enum PlatformsModule {}
