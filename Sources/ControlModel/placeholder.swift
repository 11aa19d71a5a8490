enum ControlModelModule {}
