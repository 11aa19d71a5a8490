enum PerchCLIModule {}
