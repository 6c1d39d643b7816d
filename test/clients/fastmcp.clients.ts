import { tellPythonStories } from "./python-stories.ts";

tellPythonStories("fastmcp");
