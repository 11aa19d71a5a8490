enum ControllerModule {}
