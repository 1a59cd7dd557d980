import Testing

@Suite struct ProgramsTests {}
