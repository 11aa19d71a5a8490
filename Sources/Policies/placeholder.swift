enum PoliciesModule {}
