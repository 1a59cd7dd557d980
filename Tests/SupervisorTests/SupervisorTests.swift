import Testing

@Suite struct SupervisorTests {}
