import Testing

@Suite struct LaunchPlanTests {}
