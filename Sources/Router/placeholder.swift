enum RouterModule {}
